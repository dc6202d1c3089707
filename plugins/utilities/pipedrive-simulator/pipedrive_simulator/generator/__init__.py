"""The generated account: a Brazilian sales team at work over two years."""
