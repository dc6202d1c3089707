"""Keep the tap inside Pipedrive's limits.

:class:`~tap_pipedrive.api.limits.governor.Governor` decides. What has to outlive a call is in a
:class:`~tap_pipedrive.api.limits.store.LimitStore`: this process (and a folder, if there is one),
or a Redis that all processes of a company share.
"""
