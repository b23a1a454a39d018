"""The trigger that stores the time of the last change of each field of a linked lead.

As a database trigger it sees every change, whichever program makes it, and needs no extra query.
"""

__all__ = ["FUNCTION", "STATEMENTS"]

# fmt: off
_FIELDS = (
    "full_name", "company", "email", "title", "linkedin_url", "phone", "website", "location",
    "industry", "company_size", "verified", "enriched", "status", "source", "notes",
)
# fmt: on
_CHANGED = " UNION ALL ".join(
    f"SELECT '{name}' AS field WHERE OLD.{name} IS NOT NEW.{name}" for name in _FIELDS
)
# The statements consist of the names above only.
_SQLITE = f"""CREATE TRIGGER leads_field_times AFTER UPDATE ON leads
WHEN EXISTS (SELECT 1 FROM sync_link WHERE lead_id = NEW.id)
BEGIN
  UPDATE sync_link SET local_times = json_patch(
    local_times, (SELECT json_group_object(field, NEW.updated_at) FROM ({_CHANGED}))
  ) WHERE lead_id = NEW.id;
END"""  # noqa: S608 - the names above only

_NAMES = ", ".join(f"'{name}'" for name in _FIELDS)
FUNCTION = f"""CREATE OR REPLACE FUNCTION leadlog_field_times() RETURNS trigger AS $$
BEGIN
  UPDATE sync_link SET local_times = (local_times::jsonb || (
    SELECT COALESCE(jsonb_object_agg(key, to_jsonb(NEW.updated_at)), CAST('{{}}' AS jsonb))
    FROM jsonb_each(to_jsonb(NEW)) AS new_ JOIN jsonb_each(to_jsonb(OLD)) AS old_ USING (key)
    WHERE new_.value IS DISTINCT FROM old_.value AND key IN ({_NAMES})
  ))::json WHERE lead_id = NEW.id;
  RETURN NULL;
END $$ LANGUAGE plpgsql"""  # noqa: S608 - the names above only
"""The function that PostgreSQL's trigger calls; a backup of the tables does not include it."""

_POSTGRESQL = (
    "CREATE TRIGGER leads_field_times AFTER UPDATE ON leads FOR EACH ROW "
    "EXECUTE FUNCTION leadlog_field_times()"
)
STATEMENTS = (
    (_SQLITE, "sqlite"),
    (FUNCTION, "postgresql"),
    (_POSTGRESQL, "postgresql"),
)
"""The statements with their dialects, in order of execution."""
