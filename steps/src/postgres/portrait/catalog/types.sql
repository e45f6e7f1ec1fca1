select i.type || ' ' || i.identity, null, a.attr, a.value
from (select t.*, to_jsonb(t) as j from pg_type t) t
join ns on ns.oid = t.typnamespace
left join pg_class c on c.oid = t.typrelid
left join pg_range g on g.rngtypid = t.oid,
lateral pg_identify_object('pg_type'::regclass, t.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('kind', case t.typtype when 'b' then 'base' when 'c' then 'composite' when 'd' then 'domain'
        when 'e' then 'enum' when 'r' then 'range' when 'p' then 'pseudo' else t.typtype::text end),
    ('labels', case when t.typtype = 'e' then
        (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
         from pg_enum e where e.enumtypid = t.oid) end),
    ('base', case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end),
    ('not null', case when t.typtype = 'd' and t.typnotnull then 'yes' end),
    ('~default', case when t.typtype in ('d', 'b') then t.typdefault end),
    ('collation', case when t.typtype = 'd' and t.typcollation <> 0 and t.typcollation <>
        (select b.typcollation from pg_type b where b.oid = t.typbasetype)
        then t.typcollation::regcollation::text end),
    ('range of', g.rngsubtype::regtype::text),
    ('range options', (select format('%s.%s; %s; %s; %s; %s', n.nspname, o.opcname,
            nullif(g.rngcollation, 0)::regcollation, g.rngcanonical::regproc,
            g.rngsubdiff::regproc, nullif((to_jsonb(g) ->> 'rngmultitypid')::oid, 0)::regtype)
        from pg_opclass o join pg_namespace n on n.oid = o.opcnamespace where o.oid = g.rngsubopc)),
    ('base type', case when t.typtype = 'b' then format(
        'length %s, by value %s, category %s, preferred %s, delimiter %s, element %s, align %s, '
        'storage %s, collatable %s, %s, %s, %s, %s, %s, %s, %s, %s',
        t.typlen, t.typbyval, t.typcategory, t.typispreferred, t.typdelim,
        nullif(t.typelem, 0)::regtype, t.typalign, t.typstorage, t.typcollation <> 0,
        t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze,
        t.j ->> 'typsubscript') end),
    ('defined', case when not t.typisdefined then 'no' end)
) a(attr, value)
where a.value is not null
    -- The rows of tables and the arrays of everything come with what they are of.
    and (t.typrelid = 0 or c.relkind = 'c')
    and not exists (select from pg_type e where e.typarray = t.oid)
    and t.typtype <> 'm'
    and not exists (select from member e where e.classid = 'pg_type'::regclass and e.objid = t.oid)
