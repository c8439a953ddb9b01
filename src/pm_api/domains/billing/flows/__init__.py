"""What billing writes at Stripe, one module a noun."""
