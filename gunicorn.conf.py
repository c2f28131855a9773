"""gunicorn -c gunicorn.conf.py: the settings live in the package, where `gateway serve` finds them too."""

from gateway.gunicorn_conf import *  # noqa: F403
