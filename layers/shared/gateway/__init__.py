"""The gateway: pure rules, one store, one outbound client, and the edge that renders them."""
