"""What the system tests, the demo and the benchmarks share: real nodes, real sipp, real phones, in a network of their own."""
