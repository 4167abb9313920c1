"""The verdict on a change in all stacks: one comment, one evidence file, one SARIF file.

Standard library alone: the job that may write comments runs this code with nothing installed.
"""
