"""The inbound side: how tools are declared, which policies every call passes, and how a server is served."""
