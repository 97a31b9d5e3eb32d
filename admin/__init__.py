"""`gateway-admin`: terminal commands for operators and administrators."""
