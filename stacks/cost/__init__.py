"""What a stack may cost a month: an estimate from a dated table of list prices."""
