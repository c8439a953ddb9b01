"""What storage says and hears on the wire."""
