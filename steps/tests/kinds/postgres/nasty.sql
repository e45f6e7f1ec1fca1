-- A database with everything that is easy to lose on the way. `:owner` and `:reader` are roles.
alter database :"db" set statement_timeout = '1h';
alter database :"db" set search_path = "$user", public, "Ünï schema";
alter role :"owner" in database :"db" set work_mem = '7MB';
alter database :"db" connection limit 90;
comment on database :"db" is 'two lines
and an ''quote''';
grant connect, temporary on database :"db" to :"reader" with grant option;

create extension citext;
create extension hstore;
create schema "Ünï schema" authorization :"owner";
create schema ext;
create extension pg_trgm with schema ext;
comment on schema "Ünï schema" is 'with "quotes" and \backslashes';
grant usage on schema "Ünï schema" to :"reader";
revoke create on schema public from public;
alter default privileges for role :"owner" in schema "Ünï schema" grant select on tables to :"reader";
alter default privileges for role :"owner" revoke execute on functions from public;

-- Types.
create type public.mood as enum ('sad', 'ok', 'happy');
alter type public.mood add value 'meh' before 'ok';
create type public.pair as (a integer, b text collate "C");
create domain public.posint as integer default 1 check (value > 0);
create domain public.strict_text as text not null collate "C" constraint short check (length(value) < 100);
create type public.textrange as range (subtype = text, collation = "C", multirange_type_name = textmulti);
create collation public.plain (locale = 'C');
create collation public.nice (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
comment on type public.mood is 'how it feels';

-- Everything that a value can be.
create table "Ünï schema"."All ""Types""" (
    id bigint generated always as identity (start with 100 increment by 5) primary key,
    i2 smallint, i4 integer default 7, i8 bigint, n numeric, n2 numeric(10, 3),
    f4 real, f8 double precision, m money, b boolean,
    t text, v varchar(20), c char(8), ci citext, nm name, "char" "char", by bytea,
    d date, ts timestamp, tz timestamptz, ti time, ttz timetz, iv interval,
    u uuid, j json, jb jsonb, x xml, ip inet, cd cidr, mac macaddr, bits bit varying(9), bt bit(4),
    ar integer[], ta text[], mo mood default 'ok', pr pair, po posint, r4 int4range, nr nummultirange,
    tr textrange, hs hstore, tv tsvector, tq tsquery, pt point, po2 polygon, rc regclass, oi oid,
    lsn pg_lsn, "we""ird ; col" text default 'a''b\c', nic text collate public.nice,
    gen integer generated always as (i2::integer * 2) stored,
    dropped integer
);
alter table "Ünï schema"."All ""Types""" drop column dropped;
alter table "Ünï schema"."All ""Types""" alter column t set storage external,
    alter column jb set compression pglz, alter column i4 set statistics 500,
    alter column i8 set (n_distinct = -0.5);
alter table "Ünï schema"."All ""Types""" owner to :"owner";
comment on column "Ünï schema"."All ""Types"""."we""ird ; col" is 'a column''s comment';
grant select (id, t), update (t) on "Ünï schema"."All ""Types""" to :"reader";

insert into "Ünï schema"."All ""Types""" (i2, i4, i8, n, n2, f4, f8, m, b, t, v, c, ci, nm, "char", by,
    d, ts, tz, ti, ttz, iv, u, j, jb, x, ip, cd, mac, bits, bt, ar, ta, mo, pr, po, r4, nr, tr, hs, tv,
    tq, pt, po2, rc, oi, lsn, nic) values
(-32768, 2147483647, -9223372036854775808, 'NaN', 1.100, 'NaN', '-0', 12345.67, true, '', '', '', 'CaSe',
 'a name', 'x', '\x00ff', '0044-03-15 BC', 'infinity', '2024-02-29 23:59:59.999999+05:45', '24:00',
 '12:00+02', '1 year -2 mons 3 days 04:05:06.7', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
 '{"b": 1,  "a": [1, 2], "a": 3}', '{"b": 1, "a": null}', '<a b="c">é</a>', '10.0.0.1/8', '10.0.0.0/8',
 '08:00:2b:01:02:03', '101', '0000', '[2:4]={1,NULL,3}', '{"a,b",NULL,"","NULL"}', 'meh', '(1,)', 5,
 '[1,5)', '{[1.5,2.5),[7,)}', '[a,b)', 'a=>1, b=>NULL', 'fat cat:3A', 'fat & !rat', '(1,-0)',
 '((0,0),(1,1),(2,0))', 'pg_class', 1259, '16/B374D848', 'Ä'),
(null, null, null, '-Infinity', null, 'Infinity', 'NaN', null, null, null, null, 'ab', null, null, null, '',
 'infinity', '-infinity', '1900-01-01 00:00:00+00', null, null, null, null, 'null', 'null', null, null,
 null, null, '', null, '{}', '{{a,b},{c,d}}', null, null, null, 'empty', '{}', '(,)', '', '', null, null,
 null, null, null, null, null),
(1, 1, 4294967296, 1.10, 1.1, 1e-30, 0.1, null, false, E'tab\there\nand \\. newline', 'é', 'ab ', 'case',
 '', '', '\xdeadbeef', null, null, null, null, null, null, null, '[]', '[]', null, null, null, null, null,
 null, '{NULL}', '{}', 'happy', '(,"")', 1, null, null, null, null, null, null, null, null, null, 0, null,
 null),
(1, 1, 1, 1.1, 1.1, 0, 0, null, false, repeat('long ', 20000), 'x', 'x', 'x', 'x', 'y',
 decode(repeat('ab', 50000), 'hex'), null, null, null, null, null, null, null, null,
 (select jsonb_object_agg('k' || g, g) from generate_series(1, 500) g), null, null, null, null, null, null,
 (select array_agg(g) from generate_series(1, 3000) g), null, 'sad', null, 1, null, null, null, null,
 null, null, null, null, null, null, null, null);

-- Tables of odd shapes.
create table public.no_columns ();
insert into public.no_columns default values;
insert into public.no_columns default values;
create table public.empty (a integer, b text);
create table public.no_key (a integer, b text);
insert into public.no_key values (1, 'x'), (1, 'x'), (1, null), (null, ''), (null, null), (null, null);
create unlogged table public.fleeting (a integer primary key);
insert into public.fleeting values (1), (2);
create table public.parent (a integer not null, b text check (b <> 'no')) with (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off);
create table public.child (c integer) inherits (public.parent);
create table public.child2 (a integer, c integer) inherits (public.parent);
insert into public.parent values (1, 'p'); insert into public.child values (2, 'c', 3);
create table public.typed of public.pair (primary key (a));
insert into public.typed values (1, 'one');
create table public.pairs (p public.pair, l public.pair[]);
insert into public.pairs values (row(1, null), array[row(1, 'x'), null]::public.pair[]), (null, null), (row(null, null), '{}');
create table public."select" ("from" integer primary key, "WHERE" text unique deferrable initially deferred);
insert into public."select" values (1, 'a'), (2, 'b');
create table public.conditions (
    id integer primary key, status varchar(10) default 'new' check (status in ('new', 'old')),
    low integer, high integer check (high between 1 and 100 and low between 0 and 50 or high is null),
    kind text check (kind = any (array['a', 'b'])) not null default 'a',
    constraint "not valid" check (low < high) not valid,
    exclude using gist (int4range(low, high) with &&)
);
insert into public.conditions select g, case g % 2 when 0 then 'new' else 'old' end, g, g + 1 from generate_series(1, 20) g;
create table public.refers (
    id integer primary key, other integer references public.conditions deferrable initially deferred,
    self integer, foreign key (self) references public.refers (id) on delete set null
);
insert into public.refers values (1, 1, 2), (2, 20, 1), (3, null, null);
alter table public.refers add constraint late foreign key (other) references public.conditions not valid;

-- Partitions.
create table public.measured (day date not null, place text, v float8) partition by range (day);
create table public.measured_old partition of public.measured for values from (minvalue) to ('2024-01-01');
create table public.measured_2024 partition of public.measured for values from ('2024-01-01') to ('2025-01-01') partition by list (place);
create table public.measured_2024_a partition of public.measured_2024 for values in ('a', 'b');
create table public.measured_2024_rest partition of public.measured_2024 default;
create table public.measured_new (v float8, day date not null, place text);
alter table public.measured attach partition public.measured_new for values from ('2025-01-01') to (maxvalue);
alter table public.measured add primary key (day, place);
create index on public.measured (v);
insert into public.measured select '2023-12-25'::date + g, case g % 3 when 0 then 'a' when 1 then 'b' else 'z' end, g from generate_series(0, 800) g;
create table public.hashed (m public.mood, n integer) partition by hash (m);
create table public.hashed_0 partition of public.hashed for values with (modulus 2, remainder 0);
create table public.hashed_1 partition of public.hashed for values with (modulus 2, remainder 1);
insert into public.hashed select (array['sad', 'meh', 'ok', 'happy'])[g % 4 + 1]::public.mood, g from generate_series(1, 100) g;

-- Indexes.
create index "odd index" on public.conditions using btree (lower(status) text_pattern_ops desc nulls last, (low + high)) include (kind) where status in ('new') and high between 2 and 9;
create index trgm on "Ünï schema"."All ""Types""" using gin (t ext.gin_trgm_ops);
create index on public.conditions using brin (low) with (pages_per_range = 4);
create unique index on public.no_key (a) nulls not distinct where b = 'never';
alter index public."odd index" alter column 2 set statistics 77;
alter table public.conditions cluster on conditions_pkey;
alter table public.refers replica identity using index refers_pkey;
alter table public.no_key replica identity full;
create statistics public.stats (ndistinct, mcv) on low, high from public.conditions;
alter statistics public.stats set statistics 55;

-- Sequences.
create sequence public.loose start 5 increment -3 minvalue -1000 maxvalue 1000 cycle cache 9;
select nextval('public.loose'), nextval('public.loose');
create sequence public.unused as smallint;
create sequence public.mover; select setval('public.mover', 42, false);
create sequence public.owned owned by public.empty.a;
alter table public.empty alter a set default nextval('public.owned');
alter sequence public.loose owner to :"owner";

-- Functions.
create function public.definer(x integer default 3, variadic y text[] default '{}') returns text
    language plpgsql stable security definer cost 777 parallel restricted set search_path = public, pg_temp
    as $body$ begin return x || 'it''s $$quoted$$' || array_length(y, 1); end $body$;
alter function public.definer owner to :"owner";
revoke all on function public.definer from public;
grant execute on function public.definer to :"reader";
create function public.atomic(a integer) returns integer language sql immutable strict
    begin atomic; select a + 1 where a between 1 and 5 and a <> 3; end;
create procedure public.proc(inout x integer) language sql as 'select x + 1';
create function public.many() returns table (a integer, b text) language sql rows 5 as 'select 1, ''x''';
create function public.trig() returns trigger language plpgsql as 'begin return new; end';
create function public.on_ddl() returns event_trigger language plpgsql as 'begin end';
create function public.add_state(integer, integer) returns integer language sql immutable as 'select coalesce($1, 0) + coalesce($2, 0)';
create aggregate public.total(integer) (sfunc = public.add_state, stype = integer, initcond = '0', parallel = safe);
create function public.same(integer, text) returns boolean language sql immutable as 'select $1::text = $2';
create operator public.=== (leftarg = integer, rightarg = text, function = public.same);
create function public.pair_text(public.pair) returns text language sql immutable as 'select ($1).b';
create cast (public.pair as text) with function public.pair_text(public.pair) as assignment;
create operator class public.rev for type integer using btree as operator 1 > (integer, integer), operator 3 = (integer, integer), operator 5 < (integer, integer), function 1 btint4cmp(integer, integer);

-- Triggers, rules, policies.
create trigger "on insert" before insert or update of a, b on public.no_key for each row when (new.a between 1 and 5 and new.b <> 'x') execute function public.trig('arg', 'ü');
create trigger off after insert on public.no_key execute function public.trig();
alter table public.no_key disable trigger off;
create constraint trigger deferred after update on public.empty deferrable initially deferred for each row execute function public.trig();
alter table public.empty enable always trigger deferred;
create trigger parts after insert on public.measured for each row execute function public.trig();
create rule redirect as on delete to public.no_key where old.a between 1 and 2 do instead nothing;
alter table public.conditions enable row level security;
alter table public.conditions force row level security;
create policy "see own" on public.conditions as restrictive for select to :"reader", :"owner" using (status in ('new', 'old') and low between 1 and 9);
create policy add on public.conditions for insert with check (high > 0);
create event trigger watch on ddl_command_end when tag in ('CREATE TABLE', 'DROP TABLE') execute function public.on_ddl();
alter event trigger watch disable;

-- Views.
create view public.shown with (security_barrier) as
    select c.id, c.status as "St atus", count(r.*) over (partition by c.kind order by c.id rows between 1 preceding and current row) as n
    from public.conditions c left join public.refers r on r.other = c.id
    where c.status in ('new', 'old') and c.high between 1 and 90 or (c.low is null and not c.status = 'x')
    ;
create view public.simple with (check_option = local) as select id, status from public.conditions where id > 0;
alter view public.simple alter column status set default 'via view';
create recursive view public.counting (n) as values (1) union all select n + 1 from counting where n < 10;
create materialized view public.totals as select place, sum(v) as s from public.measured group by place;
create unique index on public.totals (place);
create materialized view public.hollow as select 1 as one with no data;
create materialized view public.second as select max(s) as m from public.totals;
grant select on public.measured to :"owner";
alter materialized view public.totals owner to :"owner";
grant select on public.shown to :"reader";

-- What is seldom used.
create text search dictionary public.plain_dict (template = simple, stopwords = english);
create text search configuration public.words (copy = simple);
alter text search configuration public.words alter mapping for asciiword with public.plain_dict, simple;
create foreign data wrapper nothing options (debug 'true');
create server far type 't' version '1' foreign data wrapper nothing options (host 'h', dbname 'd');
create user mapping for :"owner" server far options (user 'u', password 'p');
create foreign table public.far_away (a integer options (name 'b'), b text) server far options (schema 's');
create publication "some" for table public."select" ("from") where ("from" > 1), public.conditions with (publish = 'insert');
create publication whole for tables in schema "Ünï schema";
create conversion public.conv for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create access method heap2 type table handler heap_tableam_handler;
create table public.other_heap (a integer) using heap2;
insert into public.other_heap values (1);

-- Large objects.
select lo_from_bytea(70001, '\x00010203'), lo_from_bytea(70002, ''), lo_from_bytea(70003, decode(repeat('cafe', 300000), 'hex'));
select lo_create(70004); select lo_put(70004, 100000, '\xff');
comment on large object 70001 is 'small';
alter large object 70002 owner to :"owner";
grant select on large object 70001 to :"reader";

-- Rights.
grant select on all tables in schema public to :"reader";
grant insert on public.no_key to :"reader" with grant option;
revoke select on public.empty from :"reader";
revoke execute on function pg_catalog.pg_sleep(double precision) from public;
alter table public.parent owner to :"owner";
alter type public.mood owner to :"owner";
