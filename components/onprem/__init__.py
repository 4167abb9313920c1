"""A bare-metal cluster that exists: node pools, local storage, virtual IP."""
