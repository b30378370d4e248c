"""`torch.func`: transforms of functions.

Gradients are recorded, so `grad` and `vjp` are reverse mode and may be nested; forward mode
(`jvp`, `jacfwd`) is reverse mode twice.  `vmap` calls the function once for each row and stacks
what it gives: right for any function, and as slow as the loop that it is, until the recorder has
recognised it.
"""

from rushlight.func.gradients import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)
from rushlight.func.mapping import vmap
from rushlight.func.modules import (
    functional_call,
    replace_all_batch_norm_modules_,
    stack_module_state,
)

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
