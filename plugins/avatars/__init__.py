"""One picture for old and new clients: what is published stands in the vCard, and the other way round (XEP-0398)."""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    Account,
    Context,
    Element,
    PersonalEventing,
    Plugin,
    PluginOptions,
    Published,
    Services,
    SessionEnded,
    SessionStarted,
    StanzaError,
    TakenBack,
    VCardChanged,
    VCards,
    View,
    on,
    on_presence,
)
from rainbow_xmpp.plugins.avatars.picture import (
    DATA_NODE,
    METADATA,
    METADATA_NODE,
    Picture,
    announced_in,
    with_photo,
)
from rainbow_xmpp.xml import names

UPDATE, PHOTO = f"{{{names.VCARD_UPDATE}}}x", f"{{{names.VCARD_UPDATE}}}photo"
OPEN = "open"


class Avatars(
    Plugin,
    name="avatars",
    implements={
        "XEP-0084": "1.1.4, by publishing; pictures at URLs are clients' own",
        "XEP-0153": "1.1.1, hashes are added to presence",
        "XEP-0398": "1.0.0",
    },
    account_features=("urn:xmpp:pep-vcard-conversion:0",),
):
    """Keeps the published picture and the vCard's alike, and tells its hash with every presence."""

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._hashes: dict[str, str] = {}
        """The hash of the picture that an account shows to everybody; "" for none. Of who is connected."""

    # -- from what is published to the vCard (§3.1) ----------------------------------------------------------

    @on(Published)
    async def published(self, event: Published) -> None:
        """The vCard shows what the metadata announce, when everybody may see that."""
        if event.node == METADATA_NODE:
            await self._to_vcard(event.owner)

    @on(TakenBack)
    async def taken_back(self, event: TakenBack) -> None:
        """Without metadata no picture is shown."""
        if event.node == METADATA_NODE:
            await self._to_vcard(event.owner)

    async def _to_vcard(self, owner: Account) -> None:
        vcards = self.services.offered(VCards, owner)
        shown = self._hashes[owner.id] = await self._announced(owner)
        if vcards is None:
            return
        vcard = await vcards.vcard_of(owner)
        current = Picture.of_vcard(vcard)
        if (current.id if current is not None else "") == shown:
            return
        picture = await self._picture(owner, shown) if shown else None
        if (picture is None) is bool(shown) or (picture is None and not await self._is_open(owner)):
            return  # what is announced is not there, or what is not for everybody says nothing of what is
        await vcards.keep_vcard(owner, with_photo(vcard, picture))

    async def _announced(self, owner: Account) -> str:
        """The hash of the published picture, when everybody may see it; "" when there is none."""
        eventing = self.services.offered(PersonalEventing, owner)
        last = None if eventing is None else await eventing.last(owner, METADATA_NODE)
        announced = None if last is None else announced_in(last.payload)
        if announced is None or not await self._is_open(owner):
            return ""
        return announced[0]

    async def _is_open(self, owner: Account) -> bool:
        """§7: only a picture that everybody may see is put where everybody sees it."""
        eventing = self.services.offered(PersonalEventing, owner)
        return eventing is not None and await eventing.access_model(owner, DATA_NODE) == OPEN

    async def _picture(self, owner: Account, item_id: str) -> Picture | None:
        """The published picture of this hash, which it really has."""
        eventing = self.services.offered(PersonalEventing, owner)
        if eventing is None:
            return None
        last = await eventing.last(owner, METADATA_NODE)
        announced = None if last is None else announced_in(last.payload)
        for item in await eventing.items(owner, DATA_NODE, ids=[item_id]):
            picture = Picture.of_data(item.payload, announced[1] if announced is not None else "")
            if picture is not None and picture.id == item_id:
                return picture
        return None

    # -- from the vCard to what is published (§3.2) ----------------------------------------------------------

    @on(VCardChanged)
    async def vcard_changed(self, event: VCardChanged) -> None:
        """The picture in the vCard is published; when it is taken out, no picture is announced any more."""
        owner = event.owner
        eventing = self.services.offered(PersonalEventing, owner)
        if eventing is None:
            return
        picture, before = Picture.of_vcard(event.vcard), await self._announced(owner)
        try:
            if picture is not None and picture.id != before:
                await eventing.publish(owner, DATA_NODE, picture.id, picture.to_data(), access_model=OPEN)
                metadata = picture.to_metadata()
                await eventing.publish(owner, METADATA_NODE, picture.id, metadata, access_model=OPEN)
            elif picture is None and before:
                await eventing.publish(owner, METADATA_NODE, before, Element(METADATA), access_model=OPEN)
        except StanzaError:
            return  # larger than what may be published: the vCard has it all the same

    # -- in presence (§4) --------------------------------------------------------------------------------------

    @on(SessionStarted)
    async def know(self, event: SessionStarted) -> None:
        """What the session's presence will say."""
        account = event.session.account
        if account.id not in self._hashes:
            self._hashes[account.id] = await self._announced(account)

    @on_presence(type="available")
    def tell_hash(self, ctx: Context) -> View | None:
        """The hash stands in every presence, unless the client says that it shows no picture, or another one."""
        shown = self._hashes.get(ctx.sender.id, "")
        view = ctx.stanza
        found = view.child("x", names.VCARD_UPDATE)
        if found is None:
            return view.plus(_update(shown)) if shown else None
        if not shown or view.child_element(found).find(PHOTO) is not None:
            return None
        return view.without(found).plus(_update(shown))

    @on(SessionEnded)
    def forget(self, event: SessionEnded) -> None:
        """The last one of an account takes along what is known."""
        if not event.session.home.sessions:
            self._hashes.pop(event.session.account.id, None)


def _update(shown: str) -> Element:
    el, photo = Element(UPDATE), Element(PHOTO)
    photo.text = shown
    el.append(photo)
    return el
