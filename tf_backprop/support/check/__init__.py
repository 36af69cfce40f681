"""What `tf_backprop.gradient_check` stands on: the reader's functions called, slopes of the loss, and mistakes."""
