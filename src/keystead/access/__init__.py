"""Users, roles and module access policies: who may see a clear value."""
