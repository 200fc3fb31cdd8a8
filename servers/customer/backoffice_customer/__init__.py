"""Who the customer is: people, tickets and orders, across CRM, helpdesk and shop."""
