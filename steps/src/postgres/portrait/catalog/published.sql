select 'publication ' || quote_ident(p.pubname), null, 'table ' || r.prrelid::regclass::text,
    concat_ws(' ',
        (select '(' || string_agg(quote_ident(a.attname), ', ' order by a.attname) || ')'
         from jsonb_array_elements_text(case jsonb_typeof(r.j -> 'prattrs') when 'string'
             then to_jsonb(string_to_array(r.j ->> 'prattrs', ' ')) when 'array'
             then r.j -> 'prattrs' else '[]' end) n
         join pg_attribute a on a.attrelid = r.prrelid and a.attnum = n::int2),
        'where ' || pg_get_expr((select q.prqual from pg_publication_rel q where q.oid = r.oid),
            r.prrelid),
        'published')
from (select q.oid, q.prpubid, q.prrelid, to_jsonb(q) as j from pg_publication_rel q) r
join pg_publication p on p.oid = r.prpubid
union all
select 'publication ' || quote_ident(p.pubname), null, 'schema ' || s.pnnspid::regnamespace::text,
    'published'
from pg_publication_namespace s join pg_publication p on p.oid = s.pnpubid
