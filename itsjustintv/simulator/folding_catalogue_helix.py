"""
What Helix tells about users, channels and streams (dev.twitch.tv, API reference).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.web import http

from itsjustintv.simulator.responses import Query, Rejection, page
from itsjustintv.simulator.world import Channel, Stream, World

__all__ = ["channels", "followers", "streams", "users"]

_AT_ONCE = 100


def users(world: World, query: Query, origin: str) -> dict[str, Any]:
    """
    Get Users: by id, by login, or both; whom nobody knows is left out.

    :param origin: where the profile images are.
    """
    ids, logins = query.all("id"), query.all("login")
    if not 1 <= len(ids) + len(logins) <= _AT_ONCE:
        raise Rejection(http.BAD_REQUEST, "The ids and logins must be 1 to 100 together")
    return {
        "data": [
            {
                "id": each.id,
                "login": each.login,
                "display_name": each.name,
                "type": "",
                "broadcaster_type": "affiliate",
                "description": each.description,
                "profile_image_url": f"{origin}/images/{each.id}.png",
                "offline_image_url": "",
                "view_count": 0,
                "created_at": each.created_at,
            }
            for each in world.channels(ids=ids, logins=logins)
        ]
    }


def channels(world: World, query: Query) -> dict[str, Any]:
    """
    Get Channel Information, which is there whether somebody is live or not.
    """
    return {"data": [_channel(each) for each in world.channels(ids=_wanted(query, "broadcaster_id"))]}


def streams(world: World, query: Query) -> dict[str, Any]:
    """
    Get Streams: who is live among those asked for, or among all; who is not is left out. Without ``first`` a page has
    20, however many were asked for.
    """
    ids, logins = query.all("user_id"), {each.lower() for each in query.all("user_login")}
    games, languages = query.all("game_id"), query.all("language")
    if any(len(each) > _AT_ONCE for each in (ids, logins, games, languages)):
        raise Rejection(http.BAD_REQUEST, "Of each there must be 100 at the most")
    found = [
        each
        for each in world.listed()
        if (not (ids or logins) or each.channel.id in ids or each.channel.login in logins)
        and (not games or each.channel.game_id in games)
        and (not languages or each.channel.language in languages)
    ]
    data, pagination = page(found, query.first(), query.one("after"))
    return {"data": [_stream(each) for each in data], "pagination": pagination}


def followers(world: World, query: Query) -> dict[str, Any]:
    """
    Get Channel Followers: without a moderator's token, how many but not who. That an app access token will do is what
    pyTwitchAPI documents; the reference asks for a user's. Whether somebody follows is nobody else's business.
    """
    if query.one("user_id"):
        raise Rejection(http.UNAUTHORIZED, "The user_id query parameter requires a user access token")
    (wanted, *_) = _wanted(query, "broadcaster_id")
    query.first()
    return {"total": sum(each.followers for each in world.channels(ids=[wanted])), "data": [], "pagination": {}}


def _wanted(query: Query, name: str) -> Sequence[str]:
    values = query.all(name)
    if not 1 <= len(values) <= _AT_ONCE:
        raise Rejection(http.BAD_REQUEST, f'The parameter "{name}" must be given 1 to 100 times')
    return values


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "broadcaster_id": channel.id,
        "broadcaster_login": channel.login,
        "broadcaster_name": channel.name,
        "broadcaster_language": channel.language,
        "game_id": channel.game_id,
        "game_name": channel.game_name,
        "title": channel.title,
        "delay": 0,
        "tags": channel.tags,
        "content_classification_labels": [],
        "is_branded_content": False,
    }


def _stream(stream: Stream) -> dict[str, Any]:
    channel = stream.channel
    return {
        "id": stream.id,
        "user_id": channel.id,
        "user_login": channel.login,
        "user_name": channel.name,
        "game_id": channel.game_id,
        "game_name": channel.game_name,
        "type": stream.type,
        "title": channel.title,
        "tags": channel.tags,
        "viewer_count": channel.viewers,
        "started_at": stream.started_at,
        "language": channel.language,
        "thumbnail_url": (
            f"https://static-cdn.jtvnw.net/previews-ttv/live_user_{channel.login}-{{width}}x{{height}}.jpg"
        ),
        "tag_ids": [],
        "is_mature": False,
    }
