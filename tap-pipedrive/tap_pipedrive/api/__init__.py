"""How to talk to Pipedrive: requests, responses, pages, records and limits."""
