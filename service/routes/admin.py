"""Loading and unloading models, for who holds an admin key."""

from typing import Final, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from service.http.guard import ApiKeys, head_of
from service.models.manager import ModelAdmin
from service.models.store import ModelVersion
from service.routes.openapi import problems
from service.routes.paths import ModelPath, VersionPath

ERRORS: Final = {
    401: "The admin key is missing or unknown",
    404: "There is no such bundle",
    409: "The bundle is refused; detail says why",
    503: "Shutting down",
}


class Done(BaseModel):
    """What all workers now do with this version."""

    name: str
    version: int
    state: Literal["serving", "unloaded"]


def create_router(admin: ModelAdmin, keys: ApiKeys) -> APIRouter:
    """/models/{model}/versions/{version}/load and …/unload, for requests with one of ``keys``."""

    async def require_admin_key(request: Request) -> None:
        keys.check(head_of(request.scope["headers"]))

    router = APIRouter(
        tags=["administration"],
        responses=problems(ERRORS),
        dependencies=[Depends(require_admin_key)],
    )

    @router.post(
        "/models/{model}/versions/{version}/load",
        operation_id="load",
        summary="Serve this version, whatever the policy says; read it again if it is served",
    )
    async def load(model: ModelPath, version: VersionPath) -> Done:
        await admin.load(ModelVersion(model, version))
        return Done(name=model, version=version, state="serving")

    @router.post(
        "/models/{model}/versions/{version}/unload",
        operation_id="unload",
        summary="Serve this version no more, whatever the policy says",
    )
    async def unload(model: ModelPath, version: VersionPath) -> Done:
        await admin.unload(ModelVersion(model, version))
        return Done(name=model, version=version, state="unloaded")

    return router
