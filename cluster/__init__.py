"""Where it runs: starting or joining Ray, submitting studies, metrics, and checking an installation."""
