"""Credential -> principal: judged once, then remembered until it expires."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from uaitools.auth.claims import Expected
from uaitools.auth.errors import AuthError, NotReady, Refused, Unresolved
from uaitools.auth.jwt import Issuer, JwtVerifier, OneKey
from uaitools.auth.keyfile import KeyFile
from uaitools.auth.keys import PREFIX
from uaitools.auth.memo import Memo
from uaitools.auth.principal import ANONYMOUS, Principal
from uaitools.auth.service_token import ServiceTokens
from uaitools.files import in_thread
from uaitools.metrics import Family, Sample
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.auth.config import AuthConfig, JwtConfig
    from uaitools.auth.credential import Credential, Source
    from uaitools.auth.jwks import KeySet
    from uaitools.auth.jws import Algorithm

_POLL: Final = 1.0  # seconds between two looks at the key file
_PATIENCE: Final = 3  # fetches of keys that one request waits for

_VERIFIED: Final = Family(
    "auth_verified_total", "counter", "Credentials found good, but for those remembered."
)
_REFUSED: Final = Family("auth_refused_total", "counter", "Credentials refused, or missing.")

# Counts on over all authenticators of the process: what somebody remembers of one that a reload
# has replaced is never taken for the new one's.
_generations = itertools.count(1)


class Authenticator:
    """Judges credentials for one service, which has to be the audience of principal tokens.

    config: the `[auth]` table; where nothing is configured, everyone is ANONYMOUS. audience: the
    service's name, also in errors. remember: principals of each source, of which twice as many
    live at most; 0 for none. clock: unix seconds, for `admit`. Start it before use. Raises
    KeyFileError and ValueError for files that have become wrong since `config` was read.

    generation: changes whenever keys have changed. Who remembers a principal, or what follows
    from it, remembers the generation with it.
    """

    def __init__(
        self,
        config: AuthConfig,
        *,
        audience: str,
        remember: int = 8192,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.audience = audience
        self.generation = next(_generations)
        self.verified = 0
        self.refused = 0
        self._clock = clock
        self._key_sets: dict[JwtConfig, KeySet] = {}
        self._adopt(config)
        # Apart, or what was good in one header would be good in another one. By digest: tokens
        # are up to 8 KiB, digests 32 bytes.
        self._known: dict[Source, Memo[bytes, Principal]] = {
            "key": Memo(remember),
            "bearer": Memo(remember),
            "principal": Memo(remember),
        }
        self._polling: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        known = sum(map(len, self._known.values()))
        return f"<Authenticator {self.audience} generation={self.generation} known={known}>"

    # -- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to watch the key file and to fetch key sets."""
        self._polling = spawn(self._poll(), name="watch key file")
        for keys in self._key_sets.values():
            await keys.start()

    async def reload(self, config: AuthConfig) -> None:
        """Judge by `config` from now on; key sets that it still names are kept as they are.

        Raises KeyFileError and ValueError as the constructor; then nothing has changed.
        """
        old = self._key_sets
        self._adopt(config)
        self._changed()
        if self._polling is not None:
            for table in self._key_sets.keys() - old.keys():
                await self._key_sets[table].start()
            for table in old.keys() - self._key_sets.keys():
                await old[table].stop()

    async def drain(self, _deadline: float) -> None:
        """Nothing: what is still under way wants to be authenticated to its end."""

    async def stop(self) -> None:
        """End the watching and fetching."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait({self._polling})
        for keys in self._key_sets.values():
            await keys.stop()

    # -- requests ---------------------------------------------------------------------------

    def authenticate(self, credential: Credential | None, now: float) -> Principal:
        """Whom a credential stands for. now: unix seconds.

        Raises AuthError; Unresolved when keys have to be fetched first; NotReady when they cannot
        be. One that was found good is found again in under 1 us.
        """
        if credential is not None:
            digest = sha256(credential.text).digest()
            principal = self._known[credential.source].young.get(digest)
            if principal is not None and now < principal.expires:
                return principal
            return self._judge(credential, digest, now)
        if not self.enabled:
            return ANONYMOUS
        self.refused += 1
        raise AuthError.missing(self.audience)

    async def admit(self, credential: Credential | None) -> Principal:
        """As `authenticate`, but wait for keys that have to be fetched."""
        for _ in range(_PATIENCE):
            try:
                return self.authenticate(credential, self._clock())
            except Unresolved as missing:
                await missing.resolve()
        raise NotReady(self.audience)

    def principal_token(self, principal: Principal, service: str, now: float) -> str | None:
        """The token that tells `service` who this is, None without a secret to sign it.

        Raises ValueError for the anonymous. now: unix seconds.
        """
        return self._tokens.issue(principal, service, now) if self._tokens is not None else None

    def samples(self) -> Iterator[Sample]:
        """What was counted, for `metrics.Registry.add`."""
        yield Sample(_VERIFIED, (), self.verified)
        yield Sample(_REFUSED, (), self.refused)

    def _judge(self, credential: Credential, digest: bytes, now: float) -> Principal:
        if not self.enabled:
            return ANONYMOUS
        memo = self._known[credential.source]
        principal = memo.get(digest)
        if principal is not None and now < principal.expires:
            return principal
        try:
            principal = self._verify(credential, now)
        except Refused as error:
            # Not remembered: who sends one wrong token sends as many as he likes.
            self.refused += 1
            raise AuthError.invalid(str(error), self.audience) from None
        self.verified += 1
        memo.put(digest, principal)
        return principal

    def _verify(self, credential: Credential, now: float) -> Principal:
        source, text = credential.source, credential.text
        if source == "principal":
            if self._tokens is None:
                raise Refused("principal tokens are not accepted here")
            return self._tokens.verify(text, self.audience, now)
        if source == "key" or text.startswith(PREFIX):
            if self._key_file is None:
                raise Refused("API keys are not accepted here")
            return self._key_file.keys.find(text, now)
        return self._verifier.verify(text, now)

    # -- keys -------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL)
            # In a thread: 10,000 keys take 0.1 s to read.
            if self._key_file is not None and await in_thread(self._key_file.poll):
                self._changed()

    def _adopt(self, config: AuthConfig) -> None:
        """Take everything from `config`, or raise and take nothing."""
        key_file = KeyFile(config.keys_file) if config.keys_file is not None else None
        key_sets = {
            table: self._key_sets.get(table) or self._key_set(table, table.jwks_url)
            for table in config.jwt
            if table.jwks_url is not None
        }
        verifier = JwtVerifier([_issuer(table, key_sets.get(table)) for table in config.jwt])
        secret = config.service_secret
        self._tokens = ServiceTokens(secret.get_secret_value().encode()) if secret else None
        self._key_file, self._key_sets, self._verifier = key_file, key_sets, verifier
        self.enabled = config.enabled
        self.config = config

    def _changed(self) -> None:
        """Other keys are in force: judge everything anew."""
        self.generation = next(_generations)
        for memo in self._known.values():
            memo.clear()

    def _key_set(self, config: JwtConfig, url: str) -> KeySet:
        from uaitools.auth.jwks import KeySet  # noqa: PLC0415 - takes the cryptography library

        return KeySet(
            url,
            config.accepted,
            self.audience,
            changed=self._changed,
            refresh=config.jwks_refresh,
        )


def _issuer(config: JwtConfig, keys: KeySet | None) -> Issuer:
    """What a table describes. keys: of its `jwks_url`. Raises ValueError for a wrong key file."""
    expected = Expected(
        config.issuer,
        frozenset(config.audience),
        config.leeway,
        config.user_claim,
        config.scopes_claim,
        config.roles_claim,
    )
    algorithms: dict[str, Algorithm] = {one: one for one in config.accepted}
    if keys is not None:
        return Issuer(algorithms, keys, expected)
    if config.secret is not None:
        secret = config.secret.get_secret_value().encode()
        return Issuer(algorithms, OneKey("HS256", secret), expected)
    return Issuer(algorithms, OneKey(*config.public_key()), expected)
