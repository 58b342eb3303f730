"""Pre-training and fine-tuning: one loop, two jobs, checkpoints that resume bit for bit."""
