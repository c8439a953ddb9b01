"""The outbox: what is put, sent once, and told to the operator."""
