"""The clusters that a stack can be deployed to: each kind brings a provider and what stands below it."""
