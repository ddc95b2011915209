"""What a trial trains: networks, learning rates, augmentation, averaging, evaluation."""
