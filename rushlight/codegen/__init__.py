"""Loops to text: generators of LLVM IR for the kernels that plans call."""
