"""Network backends: where bytes meet sockets, loops and clocks. The contract is in `base`."""
