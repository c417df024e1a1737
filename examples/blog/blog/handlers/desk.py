"""The authors' desk; `httpmodules.author` lets nobody else near it."""

from blog.forms import PostForm
from blog.handlers.base import Page
from blog.models import Comment, Post
from torngas_aio.exception import Http404


class Desk(Page):
    """Every post, ten a page."""

    async def get(self) -> None:
        found = await Post.Q.order_by(Post.id.desc()).paginate(self.page_number(), per_page=10)
        if found is None:
            raise Http404("There is no page %d", self.page_number())
        await self.render("desk.html", page=found)


class Write(Page):
    """A new post, or an old one again."""

    async def get(self, number: str | None = None) -> None:
        post = None if number is None else await found_or_404(number)
        await self.render("write.html", post=post, form=await self.load_form(PostForm, obj=post))

    async def post(self, number: str | None = None) -> None:
        post = None if number is None else await found_or_404(number)
        form = await self.load_form(PostForm, obj=post)
        if form.errors:
            self.set_status(400)
            await self.render("write.html", post=post, form=form)
            return
        if post is None:
            post = Post(author_id=self.current_user["id"])
            Post.session.add(post)
        post.title, post.text = form.title.data, form.text.data
        await Post.session.flush()  # gives a new post its id; the commit comes with the answer
        self.flash("Saved.", "success")
        await self.redirect(self.reverse_url("Post", post.id), status=303)


class Delete(Page):
    async def post(self, number: str) -> None:
        post = await found_or_404(number)
        await Comment.Q.filter(Comment.post_id == post.id).delete()
        await Post.session.delete(post)
        self.flash(f"“{post.title}” is gone.", "success")
        await self.redirect(self.reverse_url("Admin-Desk"), status=303)


async def found_or_404(number: str) -> Post:
    """Return the post from the master: it may have been written a moment ago."""
    post: Post | None = None
    if len(number) < 10:
        post = await Post.session.using_master().get(Post, int(number))
    if post is None:
        raise Http404("Post %s", number)
    return post
