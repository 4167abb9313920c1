"""Settings of a stack, the plan that follows from them, and the composition of components. Only here are stacks known."""
