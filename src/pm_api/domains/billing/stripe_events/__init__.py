"""How Stripe's events change our rows. Each handler looks at the object as Stripe has it now, not at the event."""
