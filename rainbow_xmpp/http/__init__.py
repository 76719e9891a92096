"""What a browser or a monitor is told: the landing page, health, host-meta."""
