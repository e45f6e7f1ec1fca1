-- What is in scope. Each query of the catalog begins with these; roles stand between chr(1) and
-- chr(2), so that they can be told from the text around them.
with ns as materialized (
    select oid, nspname from pg_namespace
    where nspname not in ('pg_catalog', 'information_schema')
      and nspname !~ '^pg_(toast|temp_|toast_temp_)'
), member as materialized (
    -- What an extension made comes with the extension.
    select classid, objid from pg_depend where deptype = 'e'
), rel as materialized (
    select c.*, to_jsonb(c) as j,
        case c.relkind when 'c' then 'type' else i.type end || ' ' || i.identity as object
    from pg_class c join ns on ns.oid = c.relnamespace,
        lateral pg_identify_object('pg_class'::regclass, c.oid, 0) i
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      and not exists (select from member e where e.classid = 'pg_class'::regclass and e.objid = c.oid)
)
