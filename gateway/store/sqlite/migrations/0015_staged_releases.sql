-- Released workflows whose canary has further shares to come, with the caller who asked for them, for whom policy is asked at each step.

create table staged_release (
    tenant text not null,
    name text not null,
    asked_by text not null,
    primary key (tenant, name)
) without rowid;
