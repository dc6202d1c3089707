"""What we know of Metabase's API: facts from its OpenAPI document, and what that leaves out."""
