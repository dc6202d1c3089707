"""What keeps the tap inside Pipedrive's limits.

:class:`~tap_pipedrive.api.limits.governor.Governor` decides; what it has to remember between
calls lives in a *home*: this process (and a folder, if there is one) or a Redis that all
processes of a company share.
"""
