"""What a recorded program is made of: the operation table, nodes, gradient rules, the printer."""
