"""The gateway: pure rules, a store, an outbound client, and the edge."""
