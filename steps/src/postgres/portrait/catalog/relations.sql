select r.object, null::text, a.attr, a.value
from rel r, lateral (values
    ('exists', 'yes'),
    ('kind', case r.relkind when 'p' then 'partitioned' when 'r' then 'plain' end),
    ('persistence', case r.relpersistence when 'u' then 'unlogged' else 'logged' end),
    ('options', (select string_agg(o, ', ' order by o) from unnest(r.reloptions) o)),
    ('toast options', (select string_agg(o, ', ' order by o)
        from pg_class t, unnest(t.reloptions) o where t.oid = r.reltoastrelid)),
    ('row security', case when r.relkind in ('r', 'p') then
        case when r.relrowsecurity then 'on' else 'off' end
        || case when r.relforcerowsecurity then ', forced' else '' end end),
    ('replica identity', case when r.relkind in ('r', 'p', 'm') then
        case r.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full'
        else 'index ' || (select quote_ident(x.relname) from pg_index i
            join pg_class x on x.oid = i.indexrelid where i.indrelid = r.oid and i.indisreplident)
        end end),
    ('clustered on', (select quote_ident(x.relname) from pg_index i
        join pg_class x on x.oid = i.indexrelid where i.indrelid = r.oid and i.indisclustered)),
    ('partition key', case when r.relkind = 'p' then pg_get_partkeydef(r.oid) end),
    ('~partition bound', pg_get_expr(r.relpartbound, r.oid)),
    ('inherits', (select string_agg(h.inhparent::regclass::text, ', ' order by h.inhseqno)
        from pg_inherits h where h.inhrelid = r.oid)),
    ('of type', case when r.reloftype <> 0 then r.reloftype::regtype::text end),
    ('access method', case when r.relkind in ('r', 'm') then
        (select amname from pg_am where oid = r.relam) end),
    ('populated', case when r.relkind = 'm' then
        case when r.relispopulated then 'yes' else 'no' end end),
    ('~definition', case when r.relkind in ('v', 'm') then pg_get_viewdef(r.oid) end),
    ('server', (select quote_ident(s.srvname) from pg_foreign_table f
        join pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = r.oid)),
    ('#options', (select string_agg(o, ', ' order by o)
        from pg_foreign_table f, unnest(f.ftoptions) o where f.ftrelid = r.oid))
) a(attr, value)
where a.value is not null and r.relkind <> 'c'
