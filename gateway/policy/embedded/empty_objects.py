"""Makes default rules for Rego objects that are defined by rules with several keys (`s[k] contains x`).

Where none of those rules holds, regorus 0.13 takes the object for undefined; OPA takes it for empty.
"""

from collections.abc import Iterator, Sequence

from gateway.policy.embedded.syntax_tree import Module, head_of, is_plain, only


def empty_objects(modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
    """Yields a Rego module, as (file name, text), for each such object: it sets the default value `{}`.

    The objects are those that regorus takes for undefined where none of their rules holds.
    """
    paths = {
        module.resolve(refr)
        for module in modules
        for rule in module.rules
        if not is_plain(refr := head_of(rule)["refr"])
        # An object with one key for each value is empty here too.
        and ("Set" in only(rule)[1]["head"] or not is_plain(only(refr)[1]["refr"]))
    }
    for number, path in enumerate(sorted(paths)):
        length = max(len(one.package) for one in modules if path[: len(one.package)] == one.package)
        package, name = ".".join(path[1:length]), ".".join(path[length:])
        yield f"default {number}", f"package {package}\n\ndefault {name} := {{}}\n"
