"""Settings of a stack, the plan that follows, the composition of components. Only here are stacks known."""
