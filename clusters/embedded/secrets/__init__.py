"""The secrets of tasks in an embedded cluster: where their values come from, and where they must not get to.

`providers` reads the values from a folder of files or from the environment, as the cluster's settings say.
`values` has the secrets of one try, in the forms in which a task gets them; `secret_files` writes those that
are files. `mask` finds and masks values in bytes, `masked_log` does so in what a task prints, `execution` in
what comes of it.
"""
