"""What a reviewer wants to know of a preview: changes, accelerators, cost, images, exposure, policy verdict.

Made from what the engine tells (its event log) and from the plan of the settings that the engine has read.
"""
