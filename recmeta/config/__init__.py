"""The config: its schema, its components, and the rules between them."""
