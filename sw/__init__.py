"""Software side: network, data, training, export, compiler and host driver."""
