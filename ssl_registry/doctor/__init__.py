"""What `ssl-registry doctor` looks at: this installation, the machine and what lies on it."""
