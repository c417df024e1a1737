"""Errors for attributes that were not loaded: attributes cannot await a query. The message says how to load them."""

from typing import Any

from sqlalchemy.orm import ORMExecuteState

from torngas_aio.exception import NotLoaded

__all__ = ["refuse_attribute"]


def refuse_attribute(state: ORMExecuteState) -> None:
    """Raise an error that names the attribute that needs a query, and how to load it.

    Raises:
        NotLoaded: In every case.
    """
    mapper = state.bind_mapper
    if not state.is_select:
        raise NotLoaded(_OUTSIDE)
    path: Any = state.loader_strategy_path
    if state.lazy_loaded_from is not None and path is not None and len(path.path) > 1:
        model, name = path.path[-2].class_.__name__, path.path[-1].key
        raise NotLoaded(
            f"{model}.{name} was not loaded with its object, and an attribute cannot await the database. Load it with "
            f"the query: `.options(selectinload({model}.{name}))`; or here: `await obj.awaitable_attrs.{name}`."
        )
    if state.is_column_load and mapper is not None:
        raise NotLoaded(
            f"A column of {mapper.class_.__name__} has expired, as all do at a rollback, or was deferred, and an "
            "attribute cannot await the database. Read what is needed before the rollback, or load the object again: "
            "`await session.refresh(obj)`; or use `await obj.awaitable_attrs.<name>`."
        )
    relations = (
        [] if mapper is None else [each for each in _dynamic_relations(mapper.registry) if each.mapper is mapper]
    )
    if not relations:
        raise NotLoaded(_OUTSIDE)
    names = " or ".join(f"{each.parent.class_.__name__}.{each.key}" for each in relations)
    raise NotLoaded(
        f"{names} has lazy='dynamic': it asks the database when it is used, and an attribute cannot await that. "
        f"Ask with a query, `await {_query_of(relations[0])}.count()`, `.all()` and the like, or within "
        f"`await session.run_sync(lambda _: obj.{relations[0].key}.count())`. "
        "Without `lazy='dynamic'` it can be loaded with its object."
    )


_OUTSIDE = (
    "A statement was executed outside of any await. Execute it with the session that can be awaited: "
    "`await session.execute(...)`, not with its `sync_session`."
)


def _dynamic_relations(registry: Any) -> list[Any]:
    relations = (relation for mapper in registry.mappers for relation in mapper.relationships)
    return sorted((each for each in relations if each.lazy == "dynamic"), key=str)


def _query_of(relation: Any) -> str:
    """Return the source text of a query for the objects in *relation* of `obj`."""
    model = relation.mapper.class_.__name__
    if relation.secondary is not None:
        return f"{model}.Q.filter(...)"
    local, remote = relation.local_remote_pairs[0]
    of_obj, of_model = relation.parent.get_property_by_column(local), relation.mapper.get_property_by_column(remote)
    return f"{model}.Q.filter({model}.{of_model.key} == obj.{of_obj.key})"
