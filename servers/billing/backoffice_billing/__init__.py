"""Who the billing is: people, tickets and orders, across CRM, helpdesk and shop."""
