"""The policy pack: what would break isolation or resource limits is refused before anything is changed."""
