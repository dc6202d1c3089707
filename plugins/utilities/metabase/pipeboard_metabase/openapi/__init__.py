"""What we know of Metabase's API: facts taken from its OpenAPI document, and what they leave out."""
